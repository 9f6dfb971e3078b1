"""Forecasts of panels that do not fit into memory, on engines that others keep."""

from sktime_llm.engines._run import forecast_partitions

__all__ = ["forecast_partitions"]
