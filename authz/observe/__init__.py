"""What operators see: metrics, structured logs and the audit trail. Nothing here decides anything."""
