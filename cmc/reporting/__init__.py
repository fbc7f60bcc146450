"""Many finished runs side by side: tables, figures and one page."""
