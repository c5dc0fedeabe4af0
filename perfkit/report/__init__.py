"""What a person sees: data, figures and HTML pages of records, plans and fits.

It measures nothing and names no model.
"""
