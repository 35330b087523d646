"""Factors of several techniques become the probability of each kind of ground."""
