"""Flights from New York in 2013, made into rows that a model can learn delays from.

`FeaturizationJob` is a composition of small steps, each in a file of its own. `SimpleFeaturizationJob` does the same
in one method, as one would begin. `DailyJob` makes them of one day, for a cluster. `TrainingJob` learns from those rows.
"""

from .cancellation import Cancellation
from .columns import Columns
from .daily_job import DailyJob
from .destination_join import DestinationJoin
from .featurization_job import FeaturizationJob
from .lateness import Lateness
from .nycflights13_source import NycFlights13Source
from .parquet_sink import ParquetSink
from .partition import Partition
from .picture_sink import PictureSink
from .plane_join import PlaneJoin
from .result import FeaturizationResult
from .schedule import Schedule
from .simple_featurization_job import SimpleFeaturizationJob
from .training_job import TrainingJob, TrainingResult
from .weather_join import WeatherJoin

__all__ = [
    "Cancellation",
    "Columns",
    "DailyJob",
    "DestinationJoin",
    "FeaturizationJob",
    "FeaturizationResult",
    "Lateness",
    "NycFlights13Source",
    "ParquetSink",
    "Partition",
    "PictureSink",
    "PlaneJoin",
    "Schedule",
    "SimpleFeaturizationJob",
    "TrainingJob",
    "TrainingResult",
    "WeatherJoin",
]
