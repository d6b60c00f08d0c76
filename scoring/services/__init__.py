"""The rule score: one pure function over a feature row, the same for one lead and for a million."""

from scoring.services.rule_score import (
    Breakdown,
    FeatureRow,
    WordLists,
    grade_of,
    lifecycle_of,
    score_row,
)
from scoring.services.scored import breakdown_of, values_of

__all__ = ["Breakdown", "FeatureRow", "WordLists", "breakdown_of", "grade_of", "lifecycle_of", "score_row", "values_of"]
