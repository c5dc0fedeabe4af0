"""What else the machine did while a trial ran."""
