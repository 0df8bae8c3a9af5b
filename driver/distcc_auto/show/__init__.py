"""What the user sees: documents, tables, explanations."""
