"""Reads any trained model, from a file or live, into arrays and freezes it into a network of integers and truth tables.

Nothing here knows of hardware; nothing that is read is executed, but a class of the user's own that ``--arch`` names.
"""

from __future__ import annotations
