"""The model of late flights: all that travels to where it is served, with nothing but the standard library.

It is trained by `TrainingJob`, beside it in `tg.flights`.
"""

from .feature import ROUTE, TIME, WEATHER, Feature
from .flight import Flight
from .lateness_model import LatenessModel, Prediction

__all__ = ["ROUTE", "TIME", "WEATHER", "Feature", "Flight", "LatenessModel", "Prediction"]
