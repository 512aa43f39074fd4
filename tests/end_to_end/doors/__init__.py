"""One invented hospital behind four doors, and what its tokens have to be."""
