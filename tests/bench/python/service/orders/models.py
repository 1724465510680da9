from flask_sqlalchemy import SQLAlchemy

database = SQLAlchemy()


class Order(database.Model):
    number = database.Column(database.String(36), primary_key=True)
    items = database.Column(database.JSON, nullable=False)
    paid = database.Column(database.Boolean, default=False)
