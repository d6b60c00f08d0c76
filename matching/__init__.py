"""Record linkage as a pure engine: it compares columns of text and knows neither leads nor a database.

Columns are folded and coded (`columns`), blocking proposes pairs (`blocking`), comparators turn a pair into small levels of
agreement (`comparing`), a Fellegi–Sunter model weighs them (`weights`, learnt without labels), and pairs become groups
(`clustering`). `linking` puts the steps together.
"""
