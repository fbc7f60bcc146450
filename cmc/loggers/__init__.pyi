from .history import HistoryLogger as HistoryLogger
from .mlflow import MLFlowLogger as MLFlowLogger
from .tensorboard import TensorBoardLogger as TensorBoardLogger
from .wandb import WandbLogger as WandbLogger
