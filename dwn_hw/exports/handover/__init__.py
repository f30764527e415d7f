"""What a hardware engineer looks for first in an export: an instance, a picture, lists of files, a testbench, constraints.

All of it is derived from the export's interface and its list of files, and holds no text of the model's: names of classes and
features stand in ``FEATURES.md`` and ``INTERFACE.md`` alone. :func:`dwn_hw.exports.handover.files.write` is the way in.
"""
