"""What an image says of itself: its bill of materials, how it was made, and a signature of both."""
