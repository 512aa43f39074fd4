"""Why a fine-tuned model says what it says of a person."""
