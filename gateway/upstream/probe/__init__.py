"""One paid song bought to learn how the provider really behaves: the purchase, what came of it, and the report.

`purchase` buys, `wire` takes down what comes, `sound` looks at the audio, `findings` makes numbers of it, `questions`
says what they answer, `report` writes it all for people and for machines.
"""
