"""Networks that shift and add (DeepShift), from a trained model to a frozen network.

``architecture`` builds the user's own class, ``tracing`` and ``layers`` read any live module into a ``trained.TrainedNetwork``,
``formats`` and ``narrowing`` choose fixed-point formats, ``front`` finds the port, ``freezing`` makes the network,
``reference`` is the same in torch, and ``plan`` does all of it in order and reports, in ``words`` to a person.
"""
