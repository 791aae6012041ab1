"""What the widgets read from a mix: single molecules, search results, the label table as a picture.

Only what is asked for is read, so a dataset of millions opens as quickly as a small one. Nothing here imports torch.
"""
