"""Events: published in the writer's transaction, delivered by a transactional outbox, shown live on open pages."""
