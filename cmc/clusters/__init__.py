"""What is in the clusters of a run: members, words, neighbours, pictures, and the page that shows them."""
