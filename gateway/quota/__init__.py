"""The guard of money and slots: who may start a generation, and what it cost."""
