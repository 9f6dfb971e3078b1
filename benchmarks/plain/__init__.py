"""The published methods as plain programs, to compare speed with.

Each follows its paper in the straightforward way: the whole forward pass for training
and for forecasts, texts written one by one, nothing shared, cached or left out.
"""
