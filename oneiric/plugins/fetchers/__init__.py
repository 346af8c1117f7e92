"""Where streams may come from: folders and bundles, and web servers.

What they are asked for, and what may come of it, is the kernel's: bytes go into its sink, which ends what is too long
or too slow.  What a fetcher itself has to keep is listed in each.
"""
