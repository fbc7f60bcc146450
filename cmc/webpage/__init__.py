"""What all pages share: one file that asks for no network, its template, its looks, its elements and charts."""
