"""What a person sees: data, figures and HTML pages of records, plans and fits.

This room measures nothing and imports no model.
"""
