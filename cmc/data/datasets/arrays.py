"""Arrays: features that a program holds, as `cmc.CrossModalClustering` is given them."""

from __future__ import annotations

from typing import Any

from cmc.data.modalities import Modalities
from cmc.data.module import DataModule
from cmc.errors import UserError


class Arrays(DataModule):
    """A data set that is there already.

    Args:
        modalities: it; a run's configuration does not hold it.
        settings: of every data set; see `cmc.data.module.DataModule`.
    """

    def __init__(self, modalities: Modalities | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._modalities = modalities

    def read(self) -> Modalities:
        """Hand the data set on.

        Raises:
            UserError: it was not given.
        """
        if self._modalities is None:
            raise UserError(
                "data: the run was given arrays by a program; name a file of them: data.root=PATH, "
                "with data=files in cmc.evaluate"
            )
        return self._modalities
