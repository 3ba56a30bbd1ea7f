"""What a user is offered on a terminal: the start menu, and the menu of what to do with a run's model.

The rooms behind `start` and `loaded` need no torch until something is chosen.
"""

from blasphemer.menus.start_menu import loaded, start

__all__ = ["loaded", "start"]
