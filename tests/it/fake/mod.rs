//! A fake engine: what cage asks of one, call by call.
