"""The built-in action kits: a module for each action, a plugin that is called as its action is.

Every command imports all of them, so what is heavy is imported where it is used, and the classes of requests, results
and settings are made without ``eq`` and ``repr``: nobody compares them, and what they hold is not for everybody's eyes.
"""
