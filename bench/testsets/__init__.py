"""Sets of whole pictures on which the values of classic denoisers are published."""
