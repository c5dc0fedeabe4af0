"""``perfkit plan``: fits, tables, plans, and plans against what happened."""
