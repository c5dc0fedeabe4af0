"""What a page can be taken away as: its data as tables, its figures as pictures, one bundle."""
