"""The filters and sorts of leads: one set for the page, the API, and whatever else lists leads."""

from leads.filters.fields import LeadFilters, offer_filter, offered_filters
from leads.filters.lists import SORTS, LeadList
from leads.filters.matching import search_condition, search_query, tag_condition

__all__ = ["SORTS", "LeadFilters", "LeadList", "offer_filter", "offered_filters", "search_condition", "search_query", "tag_condition"]
