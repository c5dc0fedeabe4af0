"""What a person sees: pure data, figures and one page. Measures nothing and imports no model."""
