"""The names that a run file has for itself, so that no observer can give them to an array."""

META = "zarr.json"
"""Where Zarr describes a group or an array."""

COORDINATES = ("measure", "leaf", "layer", "parameters")
"""The arrays that name measures and leaves, and say whose the leaves are and how large."""

CHECKPOINTS = "checkpoints"
"""The group of points to go on from."""

TRAINING = "training"
"""The group that says what a command trained."""

LAYOUT_AXES = ("leaf", "unit")
"""The axes behind the steps and the measures that are the layout's."""

RESERVED = tuple(
    dict.fromkeys(
        (
            *COORDINATES,
            "step",
            "iterate",
            *LAYOUT_AXES,
            CHECKPOINTS,
            TRAINING,
            META,
            f"{META}.partial",
        )
    )
)
"""All of them; "iteration" and what is recorded of every step stand with what declares it."""
