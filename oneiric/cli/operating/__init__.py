"""The words that speak to processes of the application which keep going: ``swap``, ``pause``, ``activity``, ...

They write what operators want into the state store, and wait until every process that lives has made it so.
"""
