"""What the widgets ask of a mix: single molecules, search, the label table as a picture.

Reading follows what is asked for, so a dataset of millions opens as quickly as a small one. Nothing here imports torch.
"""
