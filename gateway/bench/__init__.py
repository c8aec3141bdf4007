"""What the gateway costs, measured on the machine where it runs."""
