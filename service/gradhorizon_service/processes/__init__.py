"""A pool of worker processes that compute while the event loop answers.

Nothing is imported here: a worker process imports `processes.child` and must not pay for the pool's asyncio.
"""
