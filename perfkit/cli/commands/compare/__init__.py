"""``perfkit compare``: folders of records, asv results, versions of jaxlib, and structures."""
