"""The verbs, a module for what they are about. Each has `VERBS`: what adds a verb's arguments, and the call, to its parser."""
