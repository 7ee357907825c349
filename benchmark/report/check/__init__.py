"""The check of one module for people and programs: sentences, a page with a gallery, JSON, JUnit and a card."""
