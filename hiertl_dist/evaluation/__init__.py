"""One frame, one basis: the rows of its design matrix, and what a model says of it."""
