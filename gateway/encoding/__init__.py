"""Where formats are made: worker processes, or threads, and the steps of every encode handed out fairly among them."""
