"""From a credential to a principal: pure and synchronous, `now` and keys are arguments.

What is presented is parsed once into types that can't be wrong; a broken rule raises `model.errors.Refused`
with exactly one reason. The rules are docs/verification.md and policy language §2, §3, §8.
"""
