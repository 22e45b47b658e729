//! A real terminal: prompt, typing, detaching, resizing, hanging up.
