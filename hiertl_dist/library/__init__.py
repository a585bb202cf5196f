"""A folder of fitted blocks that grows: what each was made from, which go together, and what is fitted upon them."""
